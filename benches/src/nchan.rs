//! nginx with its module nchan, which publishes over HTTP. There are few publishing requests compared with the events
//! they cause. But nginx pays for them, and no other server does.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use helios_benches::Error;
use helios_benches::cores;
use helios_benches::sse::Command as Publish;

pub(crate) const SUBJECT: &str = "nchan-sse";

/// A single process, which ends with this program's child. `tcp_nodelay` is on by default, but nginx applies it only
/// from a connection's second request on.
const CONFIGURATION: &str = "
load_module MODULES/ngx_nchan_module.so;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 20000; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    server {
        listen ADDRESS;
        location ~ ^/events/(.+)$ {
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 15;
        }
        location ~ ^/publish/(.+)$ {
            nchan_publisher;
            nchan_channel_id $1;
        }
    }
}
";

/// Checks that nginx and the module are installed.
pub(crate) fn check() -> Result<(), Error> {
    let mut nginx = configured(Command::new("nginx"), free_address()?)?;
    let tested = nginx.arg("-t").output()?;
    match tested.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&tested.stderr).into()),
    }
}

/// Starts nginx on the measured core, and waits until it accepts connections.
pub(crate) fn start() -> Result<(Child, SocketAddr), Error> {
    const ATTEMPTS: usize = 100;
    const PAUSE: Duration = Duration::from_millis(20);
    let address = free_address()?;
    let pinned = cores::on_the_measured_core(Path::new("nginx"));
    let mut child = configured(pinned, address)?.spawn()?;
    for _ in 0..ATTEMPTS {
        if TcpStream::connect(address).is_ok() {
            return Ok((child, address));
        }
        sleep(PAUSE);
    }
    child.kill()?;
    child.wait()?;
    Err("nginx does not accept connections".into())
}

/// Writes the configuration and gives nginx a folder beside this program.
fn configured(mut nginx: Command, address: SocketAddr) -> Result<Command, Error> {
    const FILE: &str = "nginx.conf";
    let directory = std::env::current_exe()?.with_file_name("nchan");
    fs::create_dir_all(&directory)?;
    let configuration = CONFIGURATION
        .replace("MODULES", &modules()?)
        .replace("ADDRESS", &address.to_string());
    fs::write(directory.join(FILE), configuration)?;
    nginx
        .args(["-c", FILE, "-e", "stderr", "-p"])
        .arg(&directory);
    Ok(nginx)
}

/// Returns the folder of this nginx' modules.
fn modules() -> Result<String, Error> {
    let said = Command::new("nginx").arg("-V").output();
    let said = said.map_err(|error| format!("nginx is needed: {error}"))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let mut options = said.split_whitespace();
    let path = options.find_map(|option| option.strip_prefix("--modules-path="));
    Ok(path.ok_or("this nginx loads no modules")?.to_owned())
}

/// Returns an unused port, because nginx cannot report which one it chose.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// A connection to publish over.
pub(crate) struct Nchan {
    stream: TcpStream,
    /// Responses that were not read yet. Waiting for them would delay the readers.
    owed: usize,
}

impl Nchan {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, owed: 0 })
    }

    /// Sends one request for each event, all of them at once.
    pub(crate) fn publish(&mut self, publish: Publish) -> io::Result<()> {
        self.read_answers()?;
        let mut requests = String::new();
        for topic in publish.topics() {
            for _ in 0..publish.events {
                let data = publish.data();
                let _ = write!(
                    requests,
                    "POST /publish/{topic} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{data}",
                    data.len()
                );
                self.owed += 1;
            }
        }
        self.stream.write_all(requests.as_bytes())
    }

    /// Reads until every outstanding response has begun. The rest of the last one cannot be taken for a beginning.
    fn read_answers(&mut self) -> io::Result<()> {
        let mut answers = Vec::new();
        let mut buffer = [0; 4096];
        while memchr::memmem::find_iter(&answers, b"HTTP/1.1 2").count() < self.owed {
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => answers.extend_from_slice(&buffer[..read]),
            }
        }
        self.owed = 0;
        Ok(())
    }
}
