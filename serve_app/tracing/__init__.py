"""What is told of each request: its place in a trace, and the notes of which its log line is made."""
