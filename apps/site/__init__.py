"""What every Shelian page is built on: the application factory, sessions, two languages, tables, and the
signing round trip."""
