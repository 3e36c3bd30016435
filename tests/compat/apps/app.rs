// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

fn serve(mut client: TcpStream) {
    let mut request = [0; 4096];
    let n = client.read(&mut request).unwrap_or(0);

    if request[..n].starts_with(b"GET /slow") {
        thread::sleep(Duration::from_millis(300));
    }
    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();

    for client in listener.incoming() {
        thread::spawn(move || serve(client.unwrap()));
    }
}
