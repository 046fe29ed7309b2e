"""One module per store, each naming its settings file; workspace.yaml lists them."""
