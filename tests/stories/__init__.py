"""Stories: a person at real Chromium, real JupyterLab, real claude; only the model is scripted."""
