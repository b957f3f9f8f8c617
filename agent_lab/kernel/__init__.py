"""What runs inside a person's kernel; it talks to the server over HTTP only."""
