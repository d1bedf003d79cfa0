//! What `--help` says.

/// The help of `sendmail` under each of its names.
pub(super) fn of(program: &str) -> &'static str {
    match program {
        "mailq" => MAILQ,
        "newaliases" => NEWALIASES,
        "hoststat" => HOSTSTAT,
        "purgestat" => PURGESTAT,
        _ => SENDMAIL,
    }
}

const SENDMAIL: &str = "\
sendmail: submit a message to Pennypost

Usage: sendmail [OPTION]... [RECIPIENT]... < MESSAGE

The message is read from stdin. Exit code 0 means that it is durable: in the queue, or in the drop
directory if the mail system does not run just now.

  -t            recipients from To, Cc and Bcc (or Resent-To...), too
  -i, -oi       a line with a single dot does not end the message
  -f ADDRESS    reverse-path: who is told if the message cannot be delivered; '<>': nobody
  -F NAME       full name, if the message has no From
  -N WHEN       never, or some of success,failure,delay: when to be told
  -R full|hdrs  how much of the message a bounce returns
  -V ENVID      the envelope id that a bounce mentions
  -B 8BITMIME   the body has 8-bit characters (found out by itself)
  -G            the message of another system: its header stays as it is
  -n            no aliases, at delivery, too
  -L TAG        a tag in the log lines about this submission
  -p PROTOCOL:HOST, -oMa ADDRESS, -oMr PROTOCOL, -oMs HOST, -oMt USER
                where the message came from, of a caller in trusted-users: told, never a right
  -oep -oem -oeq  errors: say them (default), mail them back, only the exit code
  -v            say what becomes of each recipient
  -odi          wait for the first attempt, up to a minute, and tell by the exit code
  -X FILE       add what is said by SMTP to FILE
  --            what follows are recipients, even if they begin with '-'

  -bs           speak SMTP on stdin and stdout
  -bp           list the queue; see mailq --help
  -bP           how many are queued; -bP NAME: what the configuration says of queue.lifetime, ...
  -bd -bD       start the mail system; in the foreground
  -bC           check the configuration: 0 or 78
  -bh -bH       what is known of next hops; forget what is old
  -bh ADDRESS   a session on stdin as if from this IP address, with reasons; nothing is stored or sent
  -q            try everything in the queue now; -qIID -qRRCPT -qSSENDER: only what fits, -q!R... : all else
  -bi           check the aliases and bring them into force; see newaliases --help
  -bv ADDRESS   where mail to it goes, without sending any; -v: and by which lines of the tables
  -bt           test addresses on stdin: 3,0 ADDRESS, /parse ADDRESS, /mx HOST, $=w; ? shows all
  -d0.1         first the version and the names of this host
  -d8.11        with -bv, -bt, -q, -odi: what is asked of the DNS, and what it says

All other options of sendmail, Postfix and Exim are known; one that is not done says so.

Examples:
  printf 'Subject: hello\\n\\nworld\\n' | sendmail -i bob@example.org
  sendmail -t -i < message.eml
  sendmail -f '<>' -- \"$recipient\" < report.eml

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

const MAILQ: &str = "\
mailq: list the queue

Usage: mailq [OPTION]...

  --json        one JSON object a line, with the keys of 'postqueue -j'
  --postfix     as Postfix lists its queue
  -v            with a line for each recipient's last attempt
  -qIID -qRRCPT -qSSENDER -qQ
                only this message, recipients or senders with this text, held messages;
                -q!I -q!R -q!S -q!Q: all but these

Administrators see all mail, others their own. '*' marks a message that is being delivered.
While the mail system does not run, root sees what lies on the disk, and others get exit code 69.

Examples:
  mailq
  mailq -qRexample.org
  mailq --json | jq -r .queue_id

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

const HOSTSTAT: &str = "\
hoststat: show what is known of other mail hosts

Usage: hoststat [-v] [--json]

A line for each next hop of the last attempts: how long ago that was, and what came of it. '*' marks one
to which mail is being delivered. It is known since the start of the mail system, and told to
administrators (control.admins in pennypost.toml); all others get exit code 77.

Examples:
  hoststat
  hoststat --json | jq -r .name
  pennypost host               which are left alone, and how long

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

const PURGESTAT: &str = "\
purgestat: forget what is known and old of other mail hosts

Usage: purgestat

Forgets each next hop whose last attempt is longer ago than queue.host_status in pennypost.toml.

Examples:
  purgestat
  pennypost host forget example.org

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

const NEWALIASES: &str = "\
newaliases: check the aliases and bring them into force

Usage: newaliases

There is nothing to compile: the mail system reads /etc/mail/aliases as it is, and takes a change by
itself within a second. This shows each bad line with what is wrong, says how many aliases there are,
and returns when all processes have them.

Exit codes: 0; 78 when a line is bad (it is skipped, the others count) or nothing changes.

Examples:
  newaliases
  sendmail -bv postmaster      where mail to it goes now

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";
