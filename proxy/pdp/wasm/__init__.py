"""The bundle as a WebAssembly module, evaluated in our own process: nothing of it is trusted."""
