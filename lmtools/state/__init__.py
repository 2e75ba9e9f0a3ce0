"""What outlives an exchange and belongs to a conversation: reasoning state by tool call."""
