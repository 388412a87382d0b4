//! Durable data. SQL lives here and nowhere else.
