"""What the relay is built from: routes and pools, as config.yaml says."""
