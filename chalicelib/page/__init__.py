"""The page that shows what runs where. The webhook imports nothing here."""
