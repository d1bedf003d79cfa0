//! Log lines on stderr: `smtpd[4711]: 3B…: from=<…>`, for a person or for journald.

use std::fmt;

use config::LogTarget;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging for this process; `name` stands before each line.
pub fn start(name: &'static str, target: LogTarget) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(std::io::stderr)
        // Nobody may be there to read: a complaint about that would end the process.
        .log_internal_errors(false)
        .event_format(Line { name, pid: std::process::id(), target })
        .finish();
    // Fails only if logging was started before, and then lines go there.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// One event on one line: no control character of any field reaches the log.
struct Line {
    name: &'static str,
    pid: u32,
    target: LogTarget,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self.target {
            LogTarget::Journal => write!(writer, "<{}>", priority(level))?,
            LogTarget::Stderr => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " ")?;
            }
        }
        write!(writer, "{}[{}]: ", self.name, self.pid)?;
        if level <= Level::WARN {
            write!(writer, "{}: ", if level == Level::WARN { "warning" } else { "error" })?;
        }
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        let line = format!("{}{}", fields.message, fields.rest);
        writeln!(writer, "{}", envelope::printable(&line))
    }
}

/// syslog(3) severities, as sd-daemon(3) wants them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

impl Fields {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        use fmt::Write as _;
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.rest, ", {name}={value}"),
        };
    }
}
