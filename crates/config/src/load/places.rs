//! Where a fault is, for the reader of a message: file, line, column and the line itself.

use super::Found;
use crate::{
    ConfigError, Fault, Place,
    report::Excerpt,
    yaml::{Origin, Spot, SyntaxFault},
};

/// Turns spots into places and excerpts.
pub(crate) struct Places<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Places<'_> {
    pub(crate) fn place(&self, spot: Option<&Spot>) -> Place {
        let file = self.file.to_owned();
        match spot.map(|spot| (&spot.origin, spot)) {
            None => Place::WholeFile { file },
            Some((Origin::File, spot)) => {
                Place::File { file, line: spot.line, column: spot.column }
            }
            Some((Origin::Environment(variable), _)) => {
                Place::Environment { variable: variable.to_string() }
            }
        }
    }

    pub(crate) fn fault(&self, found: &Found) -> Fault {
        let spot = found.spot.as_ref();
        let in_file = spot.filter(|spot| spot.origin == Origin::File);
        let mut fault = Fault::new(self.place(spot), &found.path, &found.message);
        fault.excerpt =
            in_file.and_then(|spot| Excerpt::of(self.text, spot.line, spot.column, spot.width));
        fault.help(found.help.clone())
    }

    /// What is missing at the end of the text is shown at the end of its last line.
    fn keep_inside(&self, spot: &mut Spot) {
        let lines = self.text.lines().count();
        if spot.line > lines {
            spot.line = lines.max(1);
            spot.column = self.text.lines().last().map_or(0, |line| line.chars().count()) + 1;
        }
    }

    pub(crate) fn syntax_fault(&self, fault: SyntaxFault) -> Fault {
        self.fault(&Found {
            path: fault.path,
            spot: Some(fault.spot),
            message: fault.message,
            help: fault.help.map(str::to_owned),
        })
    }

    pub(crate) fn syntax_error(&self, mut fault: SyntaxFault) -> ConfigError {
        fault.message = format!("this is not YAML: {}", fault.message);
        self.keep_inside(&mut fault.spot);
        ConfigError::single(self.syntax_fault(fault))
    }
}
