//! Arithmetic of the functions: on one value, or on a value and a parameter. Infinities and NaN give the same
//! results as in Go.

/// The larger value. Infinity wins even over NaN.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The smaller value. Negative infinity wins even over NaN.
pub(super) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

pub(super) fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// Rounds to the nearest multiple, halves up. Dividing by the inverse loses fewer digits.
pub(super) fn round(v: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (v * inverse + 0.5).floor() / inverse
}

pub(super) fn degrees(v: f64) -> f64 {
    v * 180.0 / std::f64::consts::PI
}

pub(super) fn radians(v: f64) -> f64 {
    v * std::f64::consts::PI / 180.0
}

/// Converts to an integer like Go on x86-64: a value that does not fit becomes the smallest integer.
pub(super) fn to_integer(v: f64) -> i64 {
    // 2^63 is exact as a float, the largest integer is not.
    let limit = 9_223_372_036_854_775_808.0;
    match v >= -limit && v < limit {
        true => v as i64,
        false => i64::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_win_over_nan() {
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert!(max(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!((max(1.0, 2.0), min(1.0, 2.0)), (2.0, 1.0));
    }

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert_eq!(round(17.3, 5.0), 15.0);
    }

    #[test]
    fn a_value_that_is_no_integer_becomes_the_smallest_integer() {
        assert_eq!(to_integer(-1.9), -1);
        for v in [f64::NAN, f64::INFINITY, 1e300, -1e300] {
            assert_eq!(to_integer(v), i64::MIN);
        }
    }
}
