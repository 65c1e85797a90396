"""What people see of the gateway: templates, and texts in their language."""
