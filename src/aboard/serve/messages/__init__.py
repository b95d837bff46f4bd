"""`/v1/messages`: conversations in the words of Anthropic's API."""
