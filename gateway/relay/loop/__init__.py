"""The event loop: deadlines, batched writes, coroutines driven by hand."""
