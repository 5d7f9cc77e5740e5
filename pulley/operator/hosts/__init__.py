"""Ask hosts by the document, and read their answers."""
