//! How busy the machine is: its load average of one minute (proc_loadavg(5)).
//!
//! The file is opened before the sandbox, in which there is no way to it, and read at most as often as
//! the kernel has something new to say.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FILE: &str = "/proc/loadavg";
/// Bytes that are read: `0.20 0.18 0.12 1/80 11206`, of which the first number counts.
const ENOUGH: usize = 32;

/// Tells the load.
#[derive(Debug)]
pub struct LoadGauge {
    /// `None`: there is no such file here.
    file: Option<File>,
    /// When it was read, and what it said.
    last: Mutex<Option<(Instant, f64)>>,
}

impl LoadGauge {
    /// The kernel counts every five seconds (LOAD_FREQ).
    pub const FRESH: Duration = Duration::from_secs(5);

    /// The one of this machine. Where it has none every load is 0, and the log says so.
    #[must_use]
    pub fn open() -> Self {
        let file = File::open(FILE);
        if let Err(error) = &file {
            tracing::warn!("{FILE}: {error}; the load of the machine changes nothing");
        }
        Self { file: file.ok(), last: Mutex::default() }
    }

    /// The load average of the last minute, not older than [`Self::FRESH`].
    pub fn load(&self, now: Instant) -> f64 {
        let Some(file) = &self.file else { return 0.0 };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, load)) if now.saturating_duration_since(at) < Self::FRESH => load,
            _ => {
                let load = read(file).unwrap_or(0.0);
                *last = Some((now, load));
                load
            }
        }
    }
}

fn read(file: &File) -> io::Result<f64> {
    let mut text = [0; ENOUGH];
    let length = file.read_at(&mut text, 0)?;
    Ok(text.get(..length).and_then(first_number).unwrap_or(0.0))
}

fn first_number(text: &[u8]) -> Option<f64> {
    str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_anew_when_it_is_old() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let say = |text: &str| std::fs::write(file.path(), text).unwrap();
        say("17.25 3.00 0.12 1/80 11206\n");
        let gauge = LoadGauge { file: Some(file.reopen().unwrap()), last: Mutex::default() };
        let now = Instant::now();
        assert_eq!(gauge.load(now), 17.25);
        say("0.50 3.00 0.12 1/80 11206\n");
        let later = now + LoadGauge::FRESH;
        assert_eq!(gauge.load(later - Duration::from_millis(1)), 17.25);
        assert_eq!(gauge.load(later), 0.5);
        say("nonsense");
        assert_eq!(gauge.load(later + LoadGauge::FRESH), 0.0);
    }

    #[test]
    fn this_machine_has_one() {
        let gauge = LoadGauge::open();
        assert!(gauge.file.is_some() && gauge.load(Instant::now()) >= 0.0);
        let nowhere = LoadGauge { file: None, last: Mutex::default() };
        assert_eq!(nowhere.load(Instant::now()), 0.0);
    }
}
