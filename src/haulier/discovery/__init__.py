"""Finding what is to be uploaded: pairing by name, waiting until a file is whole, scanning, watching."""
