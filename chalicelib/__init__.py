"""What runs in Lambda. Everything below this folder ships in the zip, so nothing else lives here."""
