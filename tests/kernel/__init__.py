"""From inside a kernel: magics, context, watches, in kernels of a real server."""
