"""The Jupyter Server extension: the only place that imports tornado or jupyter_server."""
