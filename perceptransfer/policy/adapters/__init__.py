"""The encoder in the shapes that policy libraries expect: one file a library, imported when it is used."""
