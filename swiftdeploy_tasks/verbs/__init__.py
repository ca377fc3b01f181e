"""The verbs: what each one does."""
