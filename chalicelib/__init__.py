"""What runs in Lambda. All of this folder ships in the zip, so nothing else lives here."""
