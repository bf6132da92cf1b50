"""Tasks that are not classification: each with its model, its fit and its script."""
