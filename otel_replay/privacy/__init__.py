"""What must not be kept: secrets found in what arrives, and taken out of it before anything is stored or indexed."""
