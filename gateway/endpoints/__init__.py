"""What the gateway answers itself: an aiohttp application."""
