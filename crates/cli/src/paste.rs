//! Commands that are printed to be pasted into a shell: what is printed is what runs, whatever the
//! paths are called.

use std::path::Path;

/// A path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let mut text = path.display().to_string();
    if text.starts_with('-') {
        // Or it would be taken for an option.
        text.insert_str(0, "./");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A program as the first word of a command that is typed in the folder `here`.
pub(crate) fn program(path: &Path, here: &Path) -> String {
    match path.strip_prefix(here) {
        // A bare name would be looked for elsewhere.
        Ok(below) if below.components().count() == 1 => quoted(&Path::new(".").join(below)),
        Ok(below) => quoted(below),
        Err(_) => quoted(path),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_a_path_as_the_one_word_it_is() {
        let plain = "/tmp/reprise-demo/job-1.replay";
        assert_eq!(quoted(Path::new(plain)), plain);
        for path in
            ["My Music/it's $HOME", "a\"b`c`;d&e|f>g*h?(i)\\j#k", "~/x", "é", "", "-rf", "a\nb"]
        {
            let line = format!("printf %s {}", quoted(Path::new(path)));
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            let read = String::from_utf8(output.stdout).unwrap();
            assert_eq!(read.strip_prefix("./").unwrap_or(&read), path, "{line}");
        }
    }

    #[test]
    fn a_program_in_this_very_folder_is_not_looked_for_in_path() {
        for (path, here, typed) in [
            ("/r/target/release/reprise", "/r/target/release", "./reprise"),
            ("/r/target/release/reprise", "/r", "target/release/reprise"),
            ("/usr/bin/reprise", "/r", "/usr/bin/reprise"),
            ("/r/my tools/reprise", "/r", "'my tools/reprise'"),
            ("/r/my reprise", "/r", "'./my reprise'"),
        ] {
            assert_eq!(program(Path::new(path), Path::new(here)), typed);
        }
    }
}
