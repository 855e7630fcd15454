"""Any file or folder with weights: recognised by its content, read by its reader."""
