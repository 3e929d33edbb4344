//! Translates serde's descriptions of expected values for people who have never seen the program.

const NUMBERS: [(&str, &str); 14] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, not below 0"),
    ("u128", "a whole number, not below 0"),
    ("usize", "a whole number, not below 0"),
    ("i8", "a whole number from -128 to 127"),
    ("i16", "a whole number from -32768 to 32767"),
    ("i32", "a whole number from -2147483648 to 2147483647"),
    ("i64", "a whole number"),
    ("i128", "a whole number"),
    ("isize", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
];

const OTHERS: [(&str, &str); 15] = [
    ("a boolean", "true or false"),
    ("a string", "a text"),
    ("a borrowed string", "a text"),
    ("path string", "a text"),
    ("OsString", "a text"),
    ("os string", "a text"),
    ("a character", "one character"),
    ("a sequence", "a list"),
    ("a map", "an object"),
    ("unit", "nothing"),
    ("option", "a value"),
    ("any value", "a value"),
    ("any valid JSON value", "a value"),
    ("byte array", "bytes"),
    ("a byte array", "bytes"),
];

/// The beginnings of the descriptions that derived `Deserialize` implementations give.
const KINDS: [(&str, &str); 10] = [
    ("struct variant ", "an object"),
    ("struct ", "an object"),
    ("tuple struct ", "a list"),
    ("tuple variant ", "a list"),
    ("a tuple", "a list"),
    ("an array", "a list"),
    ("unit struct ", "nothing"),
    ("unit variant ", "nothing"),
    ("internally tagged enum ", "an object"),
    ("adjacently tagged enum ", "an object"),
];

/// Returns in plain words what was expected.
pub(super) fn plain(expected: String) -> String {
    let same = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(word, _)| *word == expected);
        found.map(|(_, plain)| (*plain).to_owned())
    };
    if let Some(plain) = same(&NUMBERS).or_else(|| same(&OTHERS)) {
        return plain;
    }
    if let Some(of) = expected.strip_prefix("a nonzero ") {
        return format!("{}, but not 0", plain(of.to_owned()));
    }
    let length = length(&expected);
    let kind = KINDS.iter().find(|(begin, _)| expected.starts_with(begin));
    match (kind, length) {
        (Some(_), Some(length)) => format!("a list of {length}"),
        (Some((_, plain)), None) => (*plain).to_owned(),
        _ if expected.starts_with("enum ") || expected.starts_with("variant ") => {
            "one of the known variants".to_owned()
        }
        _ if expected.ends_with(" struct") || expected.contains("::") => "a valid value".to_owned(),
        _ => expected,
    }
}

/// Returns the number in `.. with 2 elements`, `a tuple of size 2`, `an array of length 2`.
fn length(expected: &str) -> Option<&str> {
    let begins = [" with ", " of size ", " of length "];
    let rest = begins
        .iter()
        .find_map(|begin| Some(expected.split_once(begin)?.1))?;
    let length = rest.split(' ').next()?;
    length
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(length)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn no_type_of_a_program_is_named() {
        for (said, expected) in [
            ("u8", "a whole number from 0 to 255"),
            ("a nonzero u8", "a whole number from 0 to 255, but not 0"),
            ("struct Order", "an object"),
            ("struct Order with 2 elements", "a list of 2"),
            ("tuple struct Pair with 2 elements", "a list of 2"),
            ("struct variant Shape::Circle", "an object"),
            ("a tuple of size 3", "a list of 3"),
            ("enum Shape", "one of the known variants"),
            ("one of `up`, `down`", "one of `up`, `down`"),
            ("a colour", "a colour"),
        ] {
            assert_eq!(plain(said.to_owned()), expected, "{said}");
        }
    }
}
