//! Wire shapes shared by the server side (`http`) and its clients (`clients`, `load`, `tui`).
