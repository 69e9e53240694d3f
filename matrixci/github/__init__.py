"""What GitHub Actions needs: job outputs, runner labels, issues."""
