"""Between columns and bytes: the schemas, their check, codec, evolution and registry."""
