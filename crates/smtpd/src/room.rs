//! What all sessions of the process share.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use config::{Config, Role};
use daemon::{Error, House};
use ipc::{Arrow, Client};
use jiff::{Timestamp, tz::TimeZone};
use message::Date;
use smtp::server::{Settings, Unqualified};

use crate::claims::Claims;
use crate::log::Quota;
use crate::tally::Counters;
use crate::users::Users;

/// Configuration and edges of the role.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) policyd: Client,
    pub(crate) qmgr: Client,
    pub(crate) users: Users,
    pub(crate) claims: Claims,
    /// Of refusals in the log.
    pub(crate) quota: Mutex<Quota>,
    pub(crate) counters: Counters,
    /// Looked up once: later there may be no way to the file.
    zone: TimeZone,
}

impl Room {
    pub(crate) fn furnish(role: Role, house: &House) -> Result<Self, Error> {
        let (policyd, qmgr) = match role {
            Role::Mx => (Arrow::MxToPolicyd, Arrow::MxToQmgr),
            Role::Submission => (Arrow::SubmissionToPolicyd, Arrow::SubmissionToQmgr),
        };
        let config = Arc::clone(&house.config);
        let claims = Claims::read(&house.generation)?;
        Ok(Self::new(role, config, claims, house.asks(policyd)?, house.asks(qmgr)?))
    }

    pub(crate) fn new(
        role: Role,
        config: Arc<Config>,
        claims: Claims,
        policyd: Client,
        qmgr: Client,
    ) -> Self {
        let settings = Arc::new(settings(role, &config));
        let quota = Mutex::new(Quota::of_all(Instant::now(), config.log.format));
        let (users, zone) = (Users::default(), TimeZone::system());
        let counters = Counters::default();
        Self { role, config, settings, policyd, qmgr, users, claims, quota, counters, zone }
    }

    /// Now, with the local offset.
    pub(crate) fn date(&self) -> Date {
        let now = Timestamp::now();
        Date { seconds: now.as_second(), offset: self.zone.to_offset(now).seconds() }
    }
}

fn settings(role: Role, config: &Config) -> Settings {
    Settings {
        hostname: config.hostname.clone(),
        message_size: config.limits.message_size,
        recipients: config.limits.recipients,
        commands_in_error: config.limits.commands_in_error,
        hops: config.limits.hops,
        unqualified: match role {
            Role::Mx => Unqualified::Refused,
            Role::Submission => Unqualified::Ours,
        },
    }
}
