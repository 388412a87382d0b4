//! Values of `tracing` fields, written as JSON.

use std::fmt::{self, Write as _};

use super::json::JsonString;

/// The `Visit` methods of a visitor that has a method `value(field, FnOnce(&mut Vec<u8>))`.
macro_rules! visit_json_values {
    () => {
        fn record_f64(&mut self, field: &Field, value: f64) {
            self.value(field, |out| json::push_f64(out, value));
        }
        fn record_i64(&mut self, field: &Field, value: i64) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_i128(&mut self, field: &Field, value: i128) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_bool(&mut self, field: &Field, value: bool) {
            self.value(field, |out| json::push_int(out, value));
        }
        fn record_str(&mut self, field: &Field, value: &str) {
            self.value(field, |out| json::push_str(out, value));
        }
        fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
            self.value(field, |out| push_display(out, format_args!("{value}")));
        }
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.value(field, |out| push_display(out, format_args!("{value:?}")));
        }
    };
}

pub(super) fn push_display(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    let mut string = JsonString::open(out);
    let _stops_when_full = string.write_fmt(value);
    string.close();
}

pub(super) use visit_json_values;
