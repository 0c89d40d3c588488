<?xml version="1.0" encoding="UTF-8"?>
<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml" xmlns:lm="urn:x-livemosaic">
{% if limits %}
  <gml:description>{{ limits }}</gml:description>
{% endif %}
  <gml:name>{{ info.title }}</gml:name>
  <gml:boundedBy><gml:null>unknown</gml:null></gml:boundedBy>
{% for kind, properties in features %}
  <gml:featureMember>
    <lm:{{ kind }}>
{% for name, value in properties.items() %}
      <lm:{{ name }}>{{ value }}</lm:{{ name }}>
{% endfor %}
      <lm:place>
        <gml:Point{% if epsg %} srsName="http://www.opengis.net/gml/srs/epsg.xml#{{ epsg }}"{% endif %}>
          <gml:coordinates decimal="." cs="," ts=" ">{{ info.point.x }},{{ info.point.y }}</gml:coordinates>
        </gml:Point>
      </lm:place>
    </lm:{{ kind }}>
  </gml:featureMember>
{% endfor %}
</wfs:FeatureCollection>
