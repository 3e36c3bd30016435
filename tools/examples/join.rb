# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# frozen_string_literal: true

# A server that joins a service and reports how many requests it has:
# LBCTL_SERVICE=web ruby tools/examples/join.rb 8080
require 'json'
require 'socket'

# Joins, then reports until the keeper is gone, or refuses to take it.
def keep(listener)
  keeper = Socket.new(:UNIX, :SEQPACKET)
  keeper.connect(Addrinfo.unix("/run/lbctl/#{ENV.fetch('LBCTL_SERVICE')}.sock"))
  worker = ENV['LBCTL_WORKER']
  keeper.send(JSON.generate({ join: { fd: listener.fileno, worker: worker && Integer(worker) }.compact }), 0)
  answer = JSON.parse(keeper.recv(4096))
  raise answer['text'] unless answer['status'].zero?

  puts "worker #{answer['worker']}"
  @joined = true
  loop do
    keeper.send(JSON.generate({ load: @busy }), 0)
    sleep 0.25
  end
ensure
  keeper.close
end

def serve(client)
  @busy += 1
  client.gets
  body = "pid #{Process.pid}\n"
  client.write("HTTP/1.0 200 OK\r\nContent-Length: #{body.size}\r\n\r\n#{body}")
  client.close
ensure
  @busy -= 1
end

$stdout.sync = true
@busy = 0
listener = Socket.new(:INET, :STREAM)
listener.setsockopt(:SOCKET, :REUSEPORT, true)
listener.bind(Addrinfo.tcp('0.0.0.0', ARGV.fetch(0)))
listener.listen(511)
Thread.new { loop { Thread.new(listener.accept.first) { |client| serve(client) } } }
begin
  keep(listener)
rescue StandardError => e
  abort "can't join: #{e.message}" unless @joined
  sleep 1
  retry
end
