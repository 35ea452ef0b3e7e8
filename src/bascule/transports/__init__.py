"""What carries the bytes. Servers: stdio, memory, HTTP. Clients: a child process, memory, HTTP."""
