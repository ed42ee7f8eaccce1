"""Who speaks to us: agents by plain calls and MCP, operators on their own port."""
