"""What a server author imports: Server, Context and how functions become tools, resources and prompts."""
