//! Durations in attributes: `"15s"`, `"500ms"`, `"1m"`.

use syn::Lit;

use crate::args::Arg;
use crate::diagnostics::Errors;

/// Returns the milliseconds of `key = "15s"`.
pub(crate) fn parse(arg: &Arg, example: &str, errors: &mut Errors) -> Option<u64> {
    match arg.literal() {
        Some(Lit::Str(text)) => {
            let millis = millis(&text.value());
            if millis.is_none() {
                errors.at(
                    text,
                    "a duration is a number and `ms`, `s`, `m` or `h`, such as `\"15s\"`",
                );
            }
            millis
        }
        Some(Lit::Int(number)) => {
            let digits = number.base10_digits();
            errors.at(
                number,
                format_args!("in which unit? Write `\"{digits}s\"` or `\"{digits}ms\"`"),
            );
            None
        }
        _ => {
            errors.at(
                arg,
                format_args!("`{}` takes a duration: `{example}`", arg.name()),
            );
            None
        }
    }
}

/// Like [`parse`], or 0 for `key = false`.
pub(crate) fn or_off(arg: &Arg, errors: &mut Errors) -> Option<u64> {
    let key = arg.name();
    if let Some(Lit::Bool(on)) = arg.literal() {
        if on.value {
            errors.at(
                on,
                format_args!("it is on by default: leave `{key}` out, or write `{key} = \"15s\"`"),
            );
        }
        return (!on.value).then_some(0);
    }
    let millis = parse(arg, &format!("{key} = \"15s\""), errors);
    if millis == Some(0) {
        errors.at(arg, format_args!("to turn it off write `{key} = false`"));
    }
    millis
}

fn millis(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    let scale = match &text[unit..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(millis("15s"), Some(15_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1m"), Some(60_000));
        assert_eq!(millis("2h"), Some(7_200_000));
        for wrong in [
            "",
            "15",
            "s",
            "15 s",
            "-1s",
            "1.5s",
            "15S",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
