"""One conversation each: its state machine, its readers, its workspace; and the one Manager of
them."""
