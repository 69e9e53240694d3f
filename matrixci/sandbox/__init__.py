"""Images and checks in; the evidence that a container left out."""
