"""A notebook talks with its agent: `%agent` in a cell, and the chat itself in a cell."""
