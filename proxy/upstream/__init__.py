"""The tools: MCP over stdio, MCP over streamable HTTP, plain HTTP."""
