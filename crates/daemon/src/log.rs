//! Log lines on stderr: `smtpd[4711]: 3B…: from=<…>`, for a person, for journald, or for a program.

use std::fmt;

use config::{Config, LogFormat, LogTarget};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging for this process; `name` stands before each line.
pub fn start(name: &'static str, config: &Config) {
    let (target, format, hostname) =
        (config.log.target, config.log.format, config.hostname.clone());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(std::io::stderr)
        // Nobody may be there to read: a complaint about that would end the process.
        .log_internal_errors(false)
        .event_format(Line { name, pid: std::process::id(), target, format, hostname })
        .finish();
    // Fails only if logging was started before, and then lines go there.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// One event on one line: no control character of any field reaches the log.
struct Line {
    name: &'static str,
    pid: u32,
    target: LogTarget,
    format: LogFormat,
    hostname: String,
}

/// A line of [`LogFormat::Json`].
#[derive(Serialize)]
struct Object<'a> {
    /// UTC.
    time: &'a str,
    level: &'static str,
    host: &'a str,
    process: &'a str,
    pid: u32,
    message: &'a str,
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
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        let message = format!("{}{}", fields.message, fields.rest);
        let level = *event.metadata().level();
        if self.target == LogTarget::Journal {
            write!(writer, "<{}>", priority(level))?;
        }
        let mut time = String::new();
        if self.target == LogTarget::Stderr || self.format == LogFormat::Json {
            SystemTime.format_time(&mut Writer::new(&mut time))?;
        }
        self.write(&mut writer, level, &time, &message)
    }
}

impl Line {
    fn write(
        &self,
        out: &mut impl fmt::Write,
        level: Level,
        time: &str,
        message: &str,
    ) -> fmt::Result {
        let Self { name, pid, hostname, .. } = self;
        let stamped = self.target == LogTarget::Stderr;
        match self.format {
            LogFormat::Json => {
                let message = &envelope::printable(message).to_string();
                let (level, host) = (word(level), hostname.as_str());
                let object = Object { time, level, host, process: name, pid: *pid, message };
                let line = serde_json::to_string(&object).map_err(|_| fmt::Error)?;
                return writeln!(out, "{line}");
            }
            LogFormat::Text if stamped => write!(out, "{time} {name}[{pid}]: ")?,
            LogFormat::Text => write!(out, "{name}[{pid}]: ")?,
            // As rsyslog writes files; sendmail's one process has the name of all of ours.
            LogFormat::Sendmail if stamped => write!(out, "{time} {hostname} sm-mta[{pid}]: ")?,
            LogFormat::Sendmail => write!(out, "sm-mta[{pid}]: ")?,
        }
        if level <= Level::WARN {
            write!(out, "{}: ", word(level))?;
        }
        writeln!(out, "{}", envelope::printable(message))
    }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_frozen() {
        let line = |target, format, level, message: &str| {
            let line =
                Line { name: "remote", pid: 7, target, format, hostname: "mx.test".to_owned() };
            let mut out = String::new();
            line.write(&mut out, level, "2026-11-21T12:00:00Z", message).unwrap();
            out
        };
        let (journal, stderr) = (LogTarget::Journal, LogTarget::Stderr);
        let sent = "3B1: to=<b@x.test>, dsn=2.0.0, stat=Sent (ok)";
        for (target, format, level, message, expected) in [
            (
                stderr,
                LogFormat::Text,
                Level::INFO,
                sent,
                "2026-11-21T12:00:00Z remote[7]: 3B1: to=<b@x.test>, dsn=2.0.0, stat=Sent (ok)\n",
            ),
            (journal, LogFormat::Text, Level::WARN, "a\nb", "remote[7]: warning: a\\nb\n"),
            (
                stderr,
                LogFormat::Sendmail,
                Level::INFO,
                sent,
                "2026-11-21T12:00:00Z mx.test sm-mta[7]: 3B1: to=<b@x.test>, dsn=2.0.0, stat=Sent (ok)\n",
            ),
            (journal, LogFormat::Sendmail, Level::ERROR, "x", "sm-mta[7]: error: x\n"),
            (
                journal,
                LogFormat::Json,
                Level::WARN,
                "a \"b\"\u{1b}",
                r#"{"time":"2026-11-21T12:00:00Z","level":"warning","host":"mx.test","process":"remote","pid":7,"message":"a \"b\"\\u{1b}"}
"#,
            ),
        ] {
            assert_eq!(line(target, format, level, message), expected);
        }
    }
}
