//! Validated settings; secrets are redacted in `Debug`.
