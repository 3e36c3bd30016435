// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What Grafana's types say of a dashboard of time series by Prometheus, as JSON: an enumeration is its
// texts, and there are no methods. Panels, targets and options are those of their plugins, of which the
// dashboard's own type says "any".
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import type { FieldConfig, Options } from '@grafana/grafana-foundation-sdk/timeseries';

type Json<T> = T extends string ? `${T}`
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T as T[Key] extends Function ? never : Key]: Json<T[Key]> }
  : T;

type With<T, Part> = Omit<T, keyof Part> & Part;

type TimeSeries = With<Panel, {
  id: number;
  type: 'timeseries';
  title: string;
  targets: With<Dataquery, { refId: string }>[];
  options: Options;
  fieldConfig: With<NonNullable<Panel['fieldConfig']>, {
    defaults: With<NonNullable<Panel['fieldConfig']>['defaults'], { custom?: FieldConfig }>;
  }>;
}>;

export type Checked = Json<With<Dashboard, { uid: string; title: string; panels: TimeSeries[] }>>;
