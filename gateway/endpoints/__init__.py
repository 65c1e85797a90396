"""The gateway's own endpoints: an aiohttp application."""
