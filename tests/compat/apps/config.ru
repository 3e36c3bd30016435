# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
run lambda { |env|
  sleep 0.3 if env["PATH_INFO"] == "/slow"
  [200, { "content-type" => "text/plain" }, ["hello\n"]]
}
