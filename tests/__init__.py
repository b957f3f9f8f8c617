"""The tests: a folder for each room of `agent_lab/`, and the stories in a browser."""
